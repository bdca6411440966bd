// Calls drip-nodejs, unmodified except for its base URL, as a shop's server would.
// Usage: node drive.js URL ACCOUNT KEY EMAIL. Reads commands from stdin and prints answers, one JSON object per line.

const readline = require('readline');
const helpers = require('drip-nodejs/lib/helpers');
const drip = require('drip-nodejs');

const [url, accountId, token, email] = process.argv.slice(2);
helpers.baseUrl = `${url}/`;
const client = drip({ token, accountId });

const commands = {
  order: (fields) => client.createUpdateOrderActivity({ provider: 'my_shop', email, ...fields }),
  batch: (orders) => client.post(`v3/${accountId}/shopper_activity/order/batch`, {
    orders: orders.map((fields) => ({ provider: 'my_shop', email, ...fields })),
  }),
  subscriber: (idOrEmail) => client.fetchSubscriber(idOrEmail),
  // The same request, with a callback instead of a promise.
  subscriberByCallback: (idOrEmail) => new Promise((resolve, reject) => {
    client.fetchSubscriber(idOrEmail, (error, response) => (error ? reject(error) : resolve(response)));
  }),
};

async function answer({ command, value }) {
  try {
    const response = await commands[command](value);
    return { ok: true, status: response.status, body: response.data };
  } catch (error) {
    if (!error.response) throw error;
    return { ok: false, status: error.response.status, body: error.response.data };
  }
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
  }
})();
