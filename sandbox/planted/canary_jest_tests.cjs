'use strict'

const assert = require('assert')

const { describe, expect, it, test } = global.test ? global : require('@jest/globals')

test('TOKEN test_fails', () => { expect('canary TOKEN').toBe('') })
it('TOKEN test_differs', () => { assert.strictEqual(1, 2, 'canary TOKEN') })
describe('TOKEN', () => {
  it('test_raises', () => Promise.reject(new TypeError('canary TOKEN')))
  it('test_holds', () => { expect(1).toBe(1) })
})
