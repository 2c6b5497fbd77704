// Loaded into the service by NODE_OPTIONS=--import: an uncaught exception on demand, so that the service itself needs
// no hook for it.
process.on('SIGUSR2', () => {
  throw new Error('thrown by the demo');
});
