// Another program that wants one core all the time. Says at its end how much of one it got.
const began = performance.now();
const cpuBefore = process.cpuUsage();
process.on('disconnect', () => process.exit(0));
process.on('message', () => {
  const { user, system } = process.cpuUsage(cpuBefore);
  process.send?.({ share: (user + system) / 1000 / (performance.now() - began) }, () => process.exit(0));
});

let value = 1;
function spin() {
  const until = performance.now() + 20;
  while (performance.now() < until) value = (value * 1_103_515_245 + 12_345) % 2_147_483_648;
  setImmediate(spin);
}
spin();
