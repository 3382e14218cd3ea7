/** Tensors: little-endian, row-major bytes with a shape and a type. */

import { DataType, type Tensor } from "./generated/whence/v1/tensor_pb.js";
import { invalid } from "./errors.js";

const READERS: Partial<Record<DataType, [bytes: number, read: (view: DataView, at: number) => number]>> = {
  [DataType.FLOAT32]: [4, (view, at) => view.getFloat32(at, true)],
  [DataType.FLOAT64]: [8, (view, at) => view.getFloat64(at, true)],
  [DataType.INT32]: [4, (view, at) => view.getInt32(at, true)],
  [DataType.INT64]: [8, (view, at) => Number(view.getBigInt64(at, true))],
};

/** Return the elements in row-major order; none of a tensor that is not set. Integers beyond 2^53 are rounded. */
export function values(tensor: Tensor | undefined): number[] {
  if (tensor === undefined || (tensor.shape.length === 0 && tensor.data.length === 0)) return [];
  const [size, read] = READERS[tensor.dataType] ?? [];
  const count = tensor.shape.reduce((product, length) => product * Number(length), 1);
  if (size === undefined || read === undefined || tensor.data.length !== count * size) {
    const got = `${tensor.data.length} bytes of type ${tensor.dataType} for the shape [${tensor.shape.join(", ")}]`;
    throw invalid(`a tensor has ${got}`, "INVALID_TENSOR");
  }
  const view = new DataView(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength);
  return Array.from({ length: count }, (_, index) => read(view, index * size));
}

/** Return a tensor as the list of its rows along the last axis, such as the tokens of each layer. */
export function rows(tensor: Tensor | undefined): number[][] {
  const flat = values(tensor);
  const width = Number(tensor?.shape.at(-1) ?? 0);
  return Array.from({ length: width && flat.length / width }, (_, row) => flat.slice(row * width, (row + 1) * width));
}
