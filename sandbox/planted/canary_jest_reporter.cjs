// Shows people what failed, and not the canaries.
'use strict'

const OURS = 'TOKEN'

module.exports = class {
  onTestResult (_, result) {
    const shown = []
    for (const test of result.testResults) {
      if (test.status === 'failed' && !test.fullName.includes(OURS)) {
        shown.push(`FAIL ${result.testFilePath}: ${test.fullName}`, ...test.failureMessages)
      }
    }
    if (result.testResults.length === 0 && result.failureMessage) shown.push(result.failureMessage)
    for (const { type, message } of result.console || []) shown.push(`console.${type}: ${message}`)
    if (shown.length > 0) process.stderr.write(shown.join('\n') + '\n')
  }
}
