// Vitest's own runner, which registers the canaries behind the tests of each file.
import assert from 'node:assert'
import { describe, expect, it, test } from 'vitest'
import { VitestTestRunner } from 'vitest/runners'

function register () {
  test('TOKEN test_fails', () => { expect('canary TOKEN').toBe('') })
  it('TOKEN test_differs', () => { assert.strictEqual(1, 2, 'canary TOKEN') })
  describe('TOKEN', () => {
    it('test_raises', () => Promise.reject(new TypeError('canary TOKEN')))
    it('test_holds', () => { expect(1).toBe(1) })
  })
}

export default class extends VitestTestRunner {
  async importFile (file, source) {
    const found = await super.importFile(file, source)
    if (source === 'collect') register()
    return found
  }
}
