// Processor time of a program and its child processes, on Linux. Not all parents wait for their children, so /proc is read while they run.
import { readdirSync, readFileSync } from 'node:fs';

const TICKS = 100; // a second has as many, in /proc
const EVERY = 250; // ms

/** For every process: its parent, and the ticks of it and of its ended children. */
function processes() {
  const found = new Map();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const text = readFileSync(`/proc/${name}/stat`, 'utf8');
      const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
      const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
      found.set(Number(name), { parent: Number(fields[1]), ticks });
    } catch {
      // It has ended meanwhile.
    }
  }
  return found;
}

/** Starts counting; `stop()` returns seconds, or undefined on other systems. */
export function cpuTime(pid) {
  if (process.platform !== 'linux') return { stop: () => undefined };
  const family = new Set([pid]);
  let before = 0;
  let total = 0;
  const look = () => {
    const all = processes();
    for (let grown = true; grown; ) {
      grown = false;
      for (const [one, { parent }] of all) {
        if (!family.has(parent) || family.has(one)) continue;
        family.add(one);
        grown = true;
      }
    }
    let now = 0;
    for (const one of family) {
      if (all.has(one)) now += all.get(one).ticks;
      else family.delete(one); // its number may be another's later
    }
    // An ended child's ticks go to its parent if it waits for it. Other ended children keep their last count.
    total += Math.max(0, now - before);
    before = now;
  };
  look();
  const timer = setInterval(look, EVERY);
  return {
    stop() {
      clearInterval(timer);
      return total / TICKS;
    },
  };
}
