// A network on which everything takes its own time: each call and each frame of a socket is late by a random time, frames
// of one socket in their order. It shows what a page takes for granted of the order in which answers come.

/** Milliseconds: often none, mostly little, sometimes what a bad network takes. */
const late = () => {
  const luck = Math.random();
  if (luck < 0.5) return 0;
  return Math.random() * (luck < 0.75 ? 60 : 500);
};
const pause = () => new Promise((resolve) => { setTimeout(resolve, late()); });

/** Passes on one after another, each after its pause. */
function queue() {
  let last = Promise.resolve();
  return (pass) => { last = last.then(pause).then(pass); };
}

/** Has a browser context live on such a network. */
export async function shake(context) {
  await context.routeWebSocket(/socket\.io/, (client) => {
    const server = client.connectToServer();
    const [up, down] = [queue(), queue()];
    client.onMessage((frame) => up(() => server.send(frame)));
    server.onMessage((frame) => down(() => client.send(frame)));
  });
  await context.route(/\/(users|me|blocks|sessions|notifications|search|register|login|logout|chats|media|presence)\b/, async (route) => {
    try {
      await pause();
      if (Math.random() < 0.5) return await route.continue();
      const response = await route.fetch();
      await pause();
      return await route.fulfill({ response });
    } catch (error) {
      // A window that is closed waits for no answer.
      if (!/has been (closed|disposed)/.test(error.message)) throw error;
    }
  });
}
