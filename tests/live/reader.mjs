// {issuer, tokens} on standard input → what `jose` makes of them: the keys found by discovery, over HTTP.
//
// Standard output carries one JSON list: {sub, typ} for a token that is good, {error} for one that is not.

import { text } from 'node:stream/consumers';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const { issuer, audience, tokens } = JSON.parse(await text(process.stdin));
const answer = await fetch(`${issuer}/.well-known/openid-configuration`);
const metadata = await answer.json();
if (metadata.issuer !== issuer) throw new Error('another issuer');
const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));

const found = [];
for (const token of tokens) {
  try {
    const { payload, protectedHeader } = await jwtVerify(token, keys, { issuer, audience });
    found.push({ sub: payload.sub, typ: protectedHeader.typ });
  } catch (error) {
    found.push({ error: error.code ?? error.name });
  }
}
console.log(JSON.stringify(found));
