namespace rs shop

exception NoSuchOrder {
  1: i64 id,
}

service Health {
  void ping(),
}

/** Takes orders. */
service Shop extends Health {
  /** Gives the order's number. */
  i64 order(1: list<string> items, 2: i32 priority = 5),
  string state(1: i64 id) throws (1: NoSuchOrder missing) (idempotent = "true"),
  oneway void forget(1: i64 id),
}
