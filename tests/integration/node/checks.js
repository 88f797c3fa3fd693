// What the four scripts share: a deadline, and the line that says that everything was run.
'use strict';

const assert = require('node:assert/strict');

function run(checks) {
  const deadline = setTimeout(() => {
    console.error('not done within 45 seconds');
    process.exit(2);
  }, 45000);
  checks().then(
      () => {
        clearTimeout(deadline);
        console.log('all checks passed');
        process.exit(0);
      },
      (error) => {
        console.error(error);
        process.exit(1);
      });
}

module.exports = {assert, run, ports: process.argv.slice(2).map(Number)};
