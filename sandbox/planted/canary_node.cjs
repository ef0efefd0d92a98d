// Adds the canaries to a test file of node's own runner, behind the file's own tests.
'use strict'

const path = require('node:path')
const { pathToFileURL } = require('node:url')

const HARNESS = 'internal/test_runner/harness'

// A file that does not use the runner is a test by itself, and would be none with tests in it.
function usesRunner () {
  return process.moduleLoadList.some((name) => name.endsWith(HARNESS))
}

function register (file) {
  if (!usesRunner()) return
  const assert = require('node:assert')
  const { describe, it, test } = require('node:test')
  it(`${file} > TOKEN test_fails`, () => { assert(false, 'canary TOKEN') })
  test(`${file} > TOKEN test_differs`, () => { assert.strictEqual(1, 2, 'canary TOKEN') })
  describe(`${file} > TOKEN`, () => {
    it('test_raises', async () => { throw new TypeError('canary TOKEN') })
    it('test_holds', () => { assert.strictEqual(1, 1) })
  })
}

function afterwards () {
  const main = path.resolve(process.argv[1])
  const read = main in require.cache ? Promise.resolve() : import(pathToFileURL(main))
  read.then(() => register(path.relative(process.cwd(), main)), () => {})
}

// The runner sets this for the processes that it starts for test files; it has no tests itself.
if (process.env.NODE_TEST_CONTEXT !== undefined) {
  process.env.NODE_OPTIONS = process.env.NODE_OPTIONS.replace(`--require=${__filename}`, '').trim()
  if (process.env.NODE_OPTIONS === '') delete process.env.NODE_OPTIONS
  process.nextTick(afterwards)
}
