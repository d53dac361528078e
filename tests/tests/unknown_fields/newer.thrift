namespace rs newer

enum State { OPEN = 1 }

struct Item {
  1: string name,
  2: optional map<string, list<double>> prices,
}

struct Order {
  1: required i64 id,
  2: list<string> note,
  3: list<Item> items,
  4: optional string count,
  5: optional State state,
  6: Payment payment,
  7: optional string unknown_fields,
  20: optional Order replaces,
}

union Payment {
  1: i64 cash,
  2: Item goods,
}

exception Refused {
  1: string message,
  2: optional uuid trace,
  3: optional bool again,
}

struct Empty {
  1: optional set<i16> some,
}
