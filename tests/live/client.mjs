// {issuer, client, secret | jwk, method, scope} on standard input → what `openid-client` gets there, by discovery.
//
// Standard output carries one JSON object: the token response, what is said about the token, and that once more when
// it was taken back; or {error}, its code or its status, where the client gets nothing.

import { text } from 'node:stream/consumers';
import * as oauth from 'openid-client';

const { issuer, client, secret, jwk, method, scope } = JSON.parse(await text(process.stdin));

async function authentication() {
  if (method !== 'private_key_jwt') return method === 'client_secret_post' ? oauth.ClientSecretPost(secret) : oauth.ClientSecretBasic(secret);
  const names = { name: 'ECDSA', namedCurve: jwk.crv };
  const rsa = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  const key = await crypto.subtle.importKey('jwk', { ...jwk, alg: undefined, use: undefined }, jwk.kty === 'EC' ? names : rsa, false, ['sign']);
  // SMART App Launch has assertions say their type, which RFC 7523 leaves open, and so does this client.
  return oauth.PrivateKeyJwt({ key, kid: jwk.kid }, { [oauth.modifyAssertion]: (header) => { header.typ = 'JWT'; } });
}

const insecure = { execute: [oauth.allowInsecureRequests] }; // loopback
try {
  const server = await oauth.discovery(new URL(issuer), client, undefined, await authentication(), insecure);
  const tokens = await oauth.clientCredentialsGrant(server, { scope });
  const before = await oauth.tokenIntrospection(server, tokens.access_token);
  await oauth.tokenRevocation(server, tokens.access_token);
  const after = await oauth.tokenIntrospection(server, tokens.access_token);
  console.log(JSON.stringify({ tokens, before, after }));
} catch (error) {
  console.log(JSON.stringify({ error: error.error ?? error.status ?? String(error.cause ?? error) }));
}
