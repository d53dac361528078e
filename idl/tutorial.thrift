include "shared.thrift"

namespace rs tutorial

/** Another name for a type; on the wire it is the type itself. */
typedef i32 MyInteger

/** A number that clients and servers share. */
const i32 INT32CONSTANT = 9853

/** What to say, and to whom. */
const map<string, string> MAPCONSTANT = {'hello': 'world', 'goodnight': 'moon'}

/** What to do with two numbers. */
enum Operation {
  /** `num1 + num2` */
  ADD = 1,
  /** `num1 - num2` */
  SUBTRACT = 2,
  /** `num1 * num2` */
  MULTIPLY = 3,
  /** `num1 / num2`, without remainder */
  DIVIDE = 4,
}

/** A task for the calculator. */
struct Work {
  /** The first number. */
  1: i32 num1 = 0,
  /** The second number. */
  2: i32 num2,
  /** What to do with them. */
  3: Operation op,
  /** What the client thinks of it. */
  4: optional string comment,
}

/** What cannot be calculated, and why. */
exception InvalidOperation {
  /** The number of the operation. */
  1: i32 whatOp,
  /** For a person to read. */
  2: string why,
}

/** Calculates, and keeps a log of it. */
service Calculator extends shared.SharedService {
  /** Does nothing, and says when it is done. */
  void ping(),

  /** Adds two numbers. */
  i32 add(1: i32 num1, 2: i32 num2),

  /** Does a piece of work, and keeps the result in the log under `logid`. */
  i32 calculate(1: i32 logid, 2: Work w) throws (1: InvalidOperation ouch),

  /** Does something that nobody waits for. */
  oneway void zip(),
}
