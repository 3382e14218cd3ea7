// Tensors of the protocol: raw little-endian bytes, as base64 in JSON.

const VIEWS = {
  DATA_TYPE_FLOAT32: [4, "getFloat32"],
  DATA_TYPE_FLOAT64: [8, "getFloat64"],
  DATA_TYPE_INT32: [4, "getInt32"],
  DATA_TYPE_INT64: [8, "getBigInt64"],
};

/** The elements of a tensor, row-major, as numbers; null for none. */
export function values(tensor) {
  if (!tensor || !tensor.data || !(tensor.dataType in VIEWS)) return null;
  const [size, read] = VIEWS[tensor.dataType];
  const bytes = Uint8Array.from(atob(tensor.data), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Array.from({ length: bytes.length / size }, (_, i) => Number(view[read](i * size, true)));
}

/** The rows of a matrix. */
export function rows(tensor) {
  const flat = values(tensor) ?? [];
  const width = Number(tensor?.shape?.[1] ?? 0);
  return width ? Array.from({ length: flat.length / width }, (_, i) => flat.slice(i * width, (i + 1) * width)) : [];
}

/** The largest size among numbers; 0 for none. */
export function largest(numbers) {
  let size = 0;
  for (const value of numbers) if (Number.isFinite(value) && Math.abs(value) > size) size = Math.abs(value);
  return size;
}
