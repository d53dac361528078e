namespace rs shop.orders

/** What has become of an order. */
enum State {
  OPEN = 1,
  /** On its way. */
  SENT,
  DONE = 10 (deprecated = "it says too little"),
}

/** An amount in the smallest unit of its currency. */
struct Money {
  1: required i64 amount,
  2: string currency = "EUR",
}

struct Item {
  1: string name,
  2: i32 count = 1,
  3: optional Money price,
  4: set<string> tags,
}

/**
 * An order.
 *
 * Its `lines` are in the order in which they were added.
 */
struct Order {
  1: required i64 id,
  2: State state = State.OPEN,
  3: list<Item> lines,
  4: optional Order replaces,
  5: map<string, binary> attachments,
}

union Payment {
  1: Money cash,
  2: string card (rust.name = "ByCard"),
}

exception Refused {
  1: string message,
  2: optional State state,
}

const i32 MOST_LINES = 100
const list<string> CURRENCIES = ["EUR", "CHF"]
const Money FREE = {"amount": 0}
typedef list<Order> Orders
