// Loaded before a measured program: writes its CPU seconds and largest memory as one JSON line to standard error when it ends.
process.on('exit', () => {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  require('node:fs').writeSync(
    2,
    `\n${JSON.stringify({ cpuSeconds: (userCPUTime + systemCPUTime) / 1e6, maxRssMiB: maxRSS / 1024 })}\n`,
  );
});
