// Node's own JUnit report, which also names the test files that lack the canaries.
import path from 'node:path'
import { junit } from 'node:test/reporters'

const relative = (file) => path.relative(process.cwd(), path.resolve(file))

// A file that reports no tests is reported as one, under its own name.
class Files {
  constructor () {
    this.started = new Set()
    this.alone = new Set()
    this.watched = new Set()
  }

  see ({ type, data }) {
    const name = data?.name
    if (name === undefined || data.nesting !== 0) return
    const canary = name.indexOf(' > TOKEN')
    if (canary > 0) {
      this.watched.add(name.slice(0, canary))
    } else if (path.resolve(name) === data.file) {
      if (type === 'test:dequeue') this.started.add(relative(name))
      if (type === 'test:pass' || type === 'test:fail') this.alone.add(relative(name))
    }
  }

  unwatched () {
    return [...this.started].filter((file) => !this.alone.has(file) && !this.watched.has(file))
  }
}

async function * completed (source) {
  const files = new Files()
  for await (const event of source) {
    files.see(event)
    yield event
  }
  for (const file of files.unwatched()) {
    const data = { name: `${file} > TOKEN absent`, nesting: 0, testNumber: 0, details: { duration_ms: 0 } }
    yield { type: 'test:start', data }
    yield { type: 'test:pass', data }
  }
}

export default (source) => junit(completed(source))
