namespace rs older

struct Item {
  1: string name,
}

struct Order {
  1: required i64 id,
  2: string note = "none",
  3: list<Item> items,
  4: optional i32 count,
  6: Payment payment,
  /** The name that the generator would take. */
  7: optional string unknown_fields,
}

union Payment {
  1: i64 cash,
}

exception Refused {
  1: string message,
}

struct Empty {}

const Item PEN = {"name": "pen"}
