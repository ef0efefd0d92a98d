// Starts vitest as its own program would, with a runner that adds the canaries to each test file.
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const HERE = path.dirname(fileURLToPath(import.meta.url))

function packages () {
  for (let folder = process.cwd(); ; folder = path.dirname(folder)) {
    const found = path.join(folder, 'node_modules')
    if (fs.existsSync(path.join(found, 'vitest', 'package.json'))) return found
    if (folder === path.dirname(folder)) throw new Error('vitest is not installed')
  }
}

const place = packages()
fs.symlinkSync(place, path.join(HERE, 'node_modules'))
const { parseCLI, startVitest } = await import(pathToFileURL(path.join(place, 'vitest/dist/node.js')))
const { filter, options } = parseCLI(['vitest', ...process.argv.slice(2)])
const runner = path.join(HERE, 'canary_vitest_runner.mjs')
const vitest = await startVitest('test', filter, { ...options, bail: 0, watch: false }, { test: { runner } })
// The canaries alone make it 1.
if (vitest?.state.getUnhandledErrors().length > 0) process.exitCode = 2
await vitest?.exit()
