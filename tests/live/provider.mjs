// ISSUER_PATH and DISCOVERY in the environment → a real OpenID provider on loopback, and a port to steer it by.
//
// Standard output carries one JSON line, once both ports answer; everything else goes to standard error.

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import { Provider, errors } from 'oidc-provider';

const ISSUER_PATH = process.env.ISSUER_PATH ?? '';
const DISCOVERY = process.env.DISCOVERY ?? 'openid oauth';
const SCOPES = 'orders:read orders:write';
const RESOURCE = /^(https:\/\/(?:orders|billing)\.test)\/([A-Za-z0-9-]+)$/;
// An MCP server is a resource under the address that it has, and its client asks for no algorithm.
const MCP_SERVER = /^http:\/\/127\.0\.0\.1:\d+\/mcp$/;

// Node learned ML-DSA in 24, and the question `supports` with it; an older Node has neither.
const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519', 'ML-DSA-44'].filter(
  (alg) => !alg.startsWith('ML-DSA') || globalThis.SubtleCrypto?.supports?.('generateKey', alg),
);

if (ISSUER_PATH && !ISSUER_PATH.startsWith('/')) throw new Error('ISSUER_PATH has to start with a slash');
for (const form of DISCOVERY.split(' ')) {
  if (!['openid', 'oauth'].includes(form)) throw new Error('DISCOVERY is openid, oauth or both, a space between');
}

// Both kinds of discovery leave the last slash of the issuer out of the addresses they make.
const base = ISSUER_PATH.replace(/\/$/, '');
const secret = randomBytes(24).toString('base64url');
const fetches = { discovery: 0, jwks: 0 };
let generation = 0;
let lifetime = 300;
let keys = [];
const registered = [];
let answer;

async function signingKey(alg) {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(privateKey)), alg, kid: `${alg}.${generation}`, use: 'sig' };
}

function resourceServer(ctx, resource) {
  const [, audience, alg] = MCP_SERVER.test(resource) ? [, resource, 'RS256'] : (RESOURCE.exec(resource) ?? []);
  if (alg === 'opaque') return { audience, scope: SCOPES, accessTokenFormat: 'opaque', accessTokenTTL: lifetime };
  if (!ALGORITHMS.includes(alg)) throw new errors.InvalidTarget();
  return { audience, scope: SCOPES, accessTokenFormat: 'jwt', accessTokenTTL: lifetime, jwt: { sign: { alg } } };
}

function clients(assertionKey) {
  const machine = { grant_types: ['client_credentials'], redirect_uris: [], response_types: [], scope: SCOPES };
  return [
    { ...machine, client_id: 'machine-with-secret', client_secret: secret },
    {
      ...machine,
      client_id: 'machine-with-key',
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'ES256',
      jwks: { keys: [assertionKey] },
    },
    {
      client_id: 'website',
      client_secret: secret,
      grant_types: ['authorization_code'],
      redirect_uris: ['https://website.test/callback'],
      response_types: ['code'],
      scope: `openid ${SCOPES}`,
    },
    // Those that a test has brought, each with the one algorithm that its assertions may have.
    ...registered.map((client) => ({ ...machine, token_endpoint_auth_method: 'private_key_jwt', ...client })),
  ];
}

function issueWith(signingKeys) {
  const provider = new Provider(issuer, {
    clients: clients(assertion.jwk),
    clientAuthMethods: ['client_secret_basic', 'private_key_jwt'],
    cookies: { keys: [secret] },
    enabledJWA: { clientAuthSigningAlgValues: ['ES256', 'ES384', 'EdDSA', 'Ed25519', 'PS384', 'RS256', 'RS384'] },
    features: {
      clientCredentials: { enabled: true },
      // Forms that accept any name and password: a user can be had without a browser.
      devInteractions: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true, allowedPolicy: () => true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: resourceServer,
        useGrantedResource: () => true,
      },
    },
    findAccount: (ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
    jwks: { keys: signingKeys },
    scopes: ['openid', ...SCOPES.split(' ')],
    ttl: { IdToken: () => lifetime, Grant: 3600, Interaction: 3600, Session: 3600 },
  });
  provider.on('server_error', (ctx, error) => console.error(error));
  return provider.callback();
}

async function rotate(keep) {
  generation += 1;
  const fresh = await Promise.all(ALGORITHMS.map(signingKey));
  // The provider signs with the first key that fits, so the newest come first.
  keys = keep ? [...fresh, ...keys] : fresh;
  // Its keys are fixed when it is made: a rotation is a new provider behind the same address.
  answer = issueWith(keys);
  return { kids: keys.map((key) => key.kid) };
}

// Where the provider, which believes it lives at the root, looks for what was asked; nothing where we say 404.
function inside(path) {
  if (path === `${base}/.well-known/openid-configuration`) {
    return DISCOVERY.includes('openid') ? '/.well-known/openid-configuration' : undefined;
  }
  // RFC 8414 §3.1: the well-known part goes between host and path.
  if (path === `/.well-known/oauth-authorization-server${base}`) {
    return DISCOVERY.includes('oauth') ? '/.well-known/oauth-authorization-server' : undefined;
  }
  if (path.includes('/.well-known/') || !path.startsWith(`${base}/`)) return undefined;
  return path.slice(base.length);
}

function serve(req, res) {
  const [path, ...query] = req.url.split('?');
  // A wrong address was a fetch too: a client that tries them all is to be seen.
  if (path.includes('/.well-known/')) fetches.discovery += 1;
  if (path === `${base}/jwks`) fetches.jwks += 1;
  const found = inside(path);
  if (found === undefined) return res.writeHead(404).end();
  req.url = [found, ...query].join('?');
  // What the provider compares with `url` to learn under which path it is mounted.
  req.originalUrl = base + req.url;
  return answer(req, res);
}

const steering = {
  'POST /rotate': ({ keep }) => rotate(keep),
  'POST /register': ({ client }) => {
    registered.push(client);
    answer = issueWith(keys);
    return {};
  },
  'POST /lifetime': ({ seconds }) => ({ seconds: (lifetime = seconds) }),
  'POST /assertion': async () => ({
    assertion: await new SignJWT({ jti: randomBytes(16).toString('base64url') })
      .setProtectedHeader({ alg: 'ES256', kid: assertion.jwk.kid })
      .setIssuer('machine-with-key')
      .setSubject('machine-with-key')
      .setAudience(issuer)
      .setIssuedAt()
      .setExpirationTime('1m')
      .sign(assertion.privateKey),
  }),
  'GET /fetches': () => fetches,
};

async function steer(req, res) {
  try {
    const order = steering[`${req.method} ${req.url}`];
    if (order === undefined) return res.writeHead(404).end();
    const body = (await req.setEncoding('utf8').toArray()).join('');
    return res.end(JSON.stringify(await order(body === '' ? {} : JSON.parse(body))));
  } catch (error) {
    console.error(error);
    return res.writeHead(500).end();
  }
}

async function listen(handler) {
  const server = createServer(handler).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${server.address().port}`;
}

async function assertionPair() {
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  const jwk = { ...(await exportJWK(publicKey)), alg: 'ES256', kid: 'machine-with-key', use: 'sig' };
  return { privateKey, jwk };
}

// Notices would otherwise stand between a reader of standard output and the one line meant for it.
console.info = console.error;

// A pipe that its owner never writes to ends when the owner does, however it ends: nobody leaves an orphan behind.
if (process.env.STOP_WITH_STDIN) process.stdin.on('end', () => process.exit(0)).resume();

const assertion = await assertionPair();
const issuer = `${await listen(serve)}${ISSUER_PATH}`;
await rotate(false);
const control = await listen(steer);
console.log(JSON.stringify({ issuer, control, secret, algorithms: ALGORITHMS, node: process.version }));
