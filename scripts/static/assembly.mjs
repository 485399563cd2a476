// Reads a driver's assembly: finds its loops, and the instructions of one iteration of the main loop.

const AMD_BYTES = { u8: 1, b32: 4, b64: 8, b96: 12, b128: 16, dword: 4, dwordx2: 8, dwordx3: 12, dwordx4: 16 };

/** Readers of one line: a label, or an instruction with its jump target, whether the vector unit runs it, its multiply-adds and loads. */
const readers = {
  amd(line, subgroup) {
    const label = /^(BB\d+):/.exec(line)?.[1];
    if (label) return { label };
    const [, name, rest] = /^\s+([a-z]\w+)(.*)$/.exec(line) ?? [];
    if (!name) return undefined;
    const plain = /^v_(fma|fmac|mad|mac|fmaak|fmamk)_(f16|f32|mix_f32|mixlo_f16|mixhi_f16)/.test(name) ? 1 : 0;
    const dual = name.startsWith('v_dual_') ? (`${name}${rest}`.match(/v_dual_fma/g) ?? []).length : 0;
    const packed = /^v_pk_(fma|mad)_f16|^v_dot2/.test(name) ? 2 : /^v_dot4/.test(name) ? 4 : /^v_wmma/.test(name) ? 4096 / subgroup : 0;
    return {
      jump: /^s_c?branch/.test(name) ? /\b(BB\d+)\b/.exec(rest)?.[1] : undefined,
      alu: name.startsWith('v_'),
      macs: plain + dual + packed,
      bytes: AMD_BYTES[/^(?:buffer|global|flat)_load_(\w+)/.exec(name)?.[1]],
    };
  },
  intel(line, subgroup) {
    const label = /^(LABEL\d+):/.exec(line)?.[1];
    if (label) return { label };
    // The line after a send says what it does; transposed loads fetch the same for all lanes.
    const message = /\bugm MsgDesc: \( ?load\w*, a\d+, d(\d+), (?:V(\d+)|([xyzw]+))(?!, transpose)/.exec(line);
    if (message) return { bytes: (message[1] / 8) * (message[2] ?? message[3].length) };
    const [, name, rest] = /^(?:\([^)]*\)\s*)?([a-z]\w*)[\w. ]*\(\d+\)(.*)$/.exec(line) ?? [];
    if (!name) return undefined;
    return {
      jump: name === 'while' ? /JIP:\s+(LABEL\d+)/.exec(rest)?.[1] : undefined,
      alu: !/^(send|sendc|sync|nop|while|if|else|endif|break|cont|halt|jmpi)$/.test(name),
      macs: name === 'dp4a' ? 4 : name === 'dpas' ? 2048 / subgroup : /^(mad|mac)$/.test(name) && /^\s*\S+:?H?F\s/.test(rest) ? 1 : 0,
    };
  },
};

const sum = (list, key) => list.reduce((total, item) => total + (item[key] ?? 0), 0);

/**
 * The first loop whose own instructions, without those of loops inside it, hold `macs` multiply-adds or more, and the loop around it;
 * the first, because what a kernel does again for values that are not finite follows. Each is { alu, macs, loads: bytes of each
 * vector load }. Undefined without such a loop.
 */
export function hotLoop(vendor, assembly, subgroup, macs) {
  const lines = assembly.split('\n').map((line) => readers[vendor](line, subgroup));
  const labels = new Map(lines.flatMap((line, at) => (line?.label ? [[line.label, at]] : [])));
  const ends = new Map(); // of loops, by where they begin
  lines.forEach((line, at) => {
    const begin = labels.get(line?.jump);
    if (begin < at) ends.set(begin, at);
  });
  const loops = [...ends].map(([begin, end]) => ({ begin, end }));
  const within = (inner, outer) => inner !== outer && inner.begin >= outer.begin && inner.end <= outer.end;
  for (const loop of loops) {
    const inner = loops.filter((other) => within(other, loop));
    const own = lines.filter((line, at) => line && at >= loop.begin && at <= loop.end && !inner.some((i) => at >= i.begin && at <= i.end));
    Object.assign(loop, {
      alu: own.filter(({ alu }) => alu).length,
      macs: sum(own, 'macs'),
      loads: own.flatMap(({ bytes }) => bytes ?? []),
    });
  }
  const hot = loops.toSorted((a, b) => a.begin - b.begin).find((loop) => loop.macs >= macs);
  const around = hot && loops.filter((loop) => within(hot, loop)).toSorted((a, b) => b.begin - a.begin)[0];
  return hot && { hot, around };
}
