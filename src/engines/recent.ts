// Results kept for as long as they are likely to be asked for again: the most recent ones, oldest out first. Objects take part
// in keys by a number of their own, because two may look alike and differ (two checkpoints may call different layouts "fp8").

const numbers = new WeakMap<object, number>();
let issued = 0;

/** The same number for the same object, whatever it holds; 0 for none. */
export function identity(object: object | undefined): number {
  if (object === undefined) return 0;
  let number = numbers.get(object);
  if (number === undefined) {
    number = ++issued;
    numbers.set(object, number);
  }
  return number;
}

/** A function that remembers its last `most` results by key. */
export function recent<Value>(most: number): (key: string, make: () => Value) => Value {
  const values = new Map<string, Value>();
  return (key, make) => {
    let value = values.get(key);
    if (value === undefined) {
      value = make();
      if (values.size >= most) values.delete(values.keys().next().value!);
      values.set(key, value);
    }
    return value;
  };
}
