// What the Node programs share: where the server is, counting of checks, waiting.
//
//     use_NAME.js PORT DATABASE
//
// A program is a list of parts. A check that fails is printed and the program goes on; a part that throws ends there.
// CommonJS, because only `require` looks for packages where NODE_PATH says (target/apps).
"use strict";

const assert = require("node:assert");
const { setTimeout: sleep } = require("node:timers/promises");

const port = Number(process.argv[2]);
const database = Number(process.argv[3]);
let program = "?";
let passed = 0;
let failed = 0;

function fail(text) {
  failed += 1;
  console.log(`${program}: FAILED: ${text}`);
}

function ok(what, claim) {
  if (claim) passed += 1;
  else fail(what);
}

function equal(what, got, wanted) {
  try {
    assert.deepStrictEqual(got, wanted);
    passed += 1;
  } catch {
    fail(`${what}: got ${JSON.stringify(got)}, wanted ${JSON.stringify(wanted)}`);
  }
}

/** `promise` is refused with a message that contains `text`. */
async function refused(what, promise, text) {
  try {
    fail(`${what}: got ${JSON.stringify(await promise)}, wanted the error ${text}`);
  } catch (error) {
    ok(`${what}: refused with ${error}, wanted ${text}`, String(error).includes(text));
  }
}

/** `ask()` is `wanted` before long; asks 50 times a second. */
async function eventually(what, wanted, ask, seconds = 10) {
  const end = Date.now() + seconds * 1000;
  let got = await ask();
  while (!isSame(got, wanted) && Date.now() < end) {
    await sleep(20);
    got = await ask();
  }
  equal(what, got, wanted);
}

function isSame(got, wanted) {
  try {
    assert.deepStrictEqual(got, wanted);
    return true;
  } catch {
    return false;
  }
}

/** The next `count` events `name` of `emitter`, each as the list of its arguments. */
function events(emitter, name, count) {
  return new Promise((resolve) => {
    const heard = [];
    emitter.on(name, function listen(...values) {
      heard.push(values);
      if (heard.length === count) {
        emitter.removeListener(name, listen);
        resolve(heard);
      }
    });
  });
}

/** Empties the database by `flush`, runs the parts, prints the one line, and exits with 1 if a check failed. */
async function run(name, version, flush, parts) {
  program = name;
  process.on("unhandledRejection", (error) => fail(`unhandled: ${error?.stack ?? error}`));
  await flush();
  for (const part of parts) {
    try {
      await part();
    } catch (error) {
      fail(`${part.name}: ${error?.stack ?? error}`);
    }
  }
  console.log(`${name} ${version}: ${passed} checks passed${failed ? `, ${failed} FAILED` : ""}`);
  process.exit(failed ? 1 : 0);
}

module.exports = { port, database, ok, equal, refused, eventually, events, run, sleep };
