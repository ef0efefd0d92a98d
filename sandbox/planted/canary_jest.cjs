// Jest's own runner for one test file, which reads the canaries when it has read the file.
'use strict'

const path = require('node:path')
const { createRequire } = require('node:module')

const CANARIES = path.join(__dirname, 'canary_jest_tests.cjs')
const own = createRequire(path.resolve('canary.js'))
const inner = createRequire(own.resolve('jest'))

// What jest would take: since 27 another than before.
function usual () {
  const { testRunner } = inner('jest-config').defaults
  const name = testRunner === 'jasmine2' ? 'jest-jasmine2' : testRunner
  const found = inner(name)
  return found.default || found
}

function watch (runtime, name, testPath) {
  const read = runtime[name]
  if (typeof read !== 'function') return
  runtime[name] = function (...given) {
    const result = read.apply(this, given)
    if (given[0] !== testPath) return result
    runtime[name] = read
    const canaries = () => runtime.requireModule(CANARIES)
    if (result && typeof result.then === 'function' && name !== 'requireModule') {
      return result.then((value) => { canaries(); return value })
    }
    canaries()
    return result
  }
}

// Jest calls a file without tests a failure.
function orNone (result) {
  const others = result.testResults.filter((test) => !test.fullName.includes('TOKEN'))
  if (others.length > 0) return result
  return { ...result, testResults: [], numFailingTests: 0, numPassingTests: 0 }
}

// Not `async`, which would put this file into the stacks of other tests' failures.
module.exports = function (globalConfig, config, environment, runtime, testPath, ...rest) {
  watch(runtime, 'requireModule', testPath)
  watch(runtime, 'unstable_importModule', testPath)
  return usual()(globalConfig, config, environment, runtime, testPath, ...rest).then(orNone)
}
