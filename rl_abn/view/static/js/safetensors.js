// Reads safetensors files: arrays by name, as typed arrays of numbers.

const HALF = halves();

/** Returns {name: {shape, data}} of a file's bytes (an ArrayBuffer). Half floats become float32. */
export function readTensors(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  if (!(length <= buffer.byteLength - 8))
    throw new Error("expected a safetensors file, got another");
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const tensors = {};
  for (const [
    name,
    {
      dtype,
      shape,
      data_offsets: [from, to],
    },
  ] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    // A copy, since arrays of larger numbers have to begin at a multiple of their size.
    tensors[name] = {
      shape,
      data: numbers(dtype, buffer.slice(8 + length + from, 8 + length + to)),
    };
  }
  return tensors;
}

function numbers(dtype, bytes) {
  switch (dtype) {
    case "F16":
      return Float32Array.from(new Uint16Array(bytes), (bits) => HALF[bits]);
    case "F32":
      return new Float32Array(bytes);
    case "F64":
      return new Float64Array(bytes);
    case "I32":
      return new Int32Array(bytes);
    case "I64":
      return Float64Array.from(new BigInt64Array(bytes), Number);
    case "U8":
    case "BOOL":
      return new Uint8Array(bytes);
    default:
      throw new Error(`expected an array of a known type, got ${dtype}`);
  }
}

/** The value of each of the 65,536 half floats. */
function halves() {
  const table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 0) table[bits] = sign * fraction * 2 ** -24;
    else if (exponent === 31) table[bits] = fraction ? NaN : sign * Infinity;
    else table[bits] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return table;
}
