// RESOURCE and CLIENT in the environment → an OpenID provider with SMART's scopes for one FHIR server and one client.
//
// It says its issuer once it listens.  The client proves who it is by its key, and names no resource: SMART's do not.

import { createServer } from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

const { RESOURCE, CLIENT } = process.env;
const SCOPES = ['system/*.cruds', 'system/*.rs', 'system/Patient.rs'];

async function signingKey(alg) {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(privateKey)), alg, kid: alg, use: 'sig' };
}

// A provider is none without RS256, which ID tokens have where nothing is said.
const keys = await Promise.all(['ES384', 'RS256'].map(signingKey));
const client = {
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
  scope: SCOPES.join(' '),
  token_endpoint_auth_method: 'private_key_jwt',
  token_endpoint_auth_signing_alg: 'ES384',
  ...JSON.parse(CLIENT),
};

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [client],
    clientAuthMethods: ['private_key_jwt'],
    enabledJWA: { clientAuthSigningAlgValues: ['ES384'] },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => RESOURCE,
        getResourceServerInfo: () => ({
          audience: RESOURCE,
          scope: SCOPES.join(' '),
          accessTokenFormat: 'jwt',
          accessTokenTTL: 300,
          jwt: { sign: { alg: 'ES384' } },
        }),
        useGrantedResource: () => true,
      },
    },
    jwks: { keys },
    scopes: SCOPES,
  });
  provider.on('server_error', (ctx, error) => console.error(error));
  server.on('request', provider.callback());
  console.log(issuer);
});
