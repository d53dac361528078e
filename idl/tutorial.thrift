include "shared.thrift"

namespace rs tutorial

/** An alias. On the wire it is the type itself. */
typedef i32 MyInteger

/** A number that clients and servers share. */
const i32 INT32CONSTANT = 9853

/** A constant map. */
const map<string, string> MAPCONSTANT = {'hello': 'world', 'goodnight': 'moon'}

/** An operation on two numbers. */
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

/** An operation and its operands. */
struct Work {
  /** The first operand. */
  1: i32 num1 = 0,
  /** The second operand. */
  2: i32 num2,
  /** The operation. */
  3: Operation op,
  /** A note by the client. */
  4: optional string comment,
}

/** The operation cannot be performed. */
exception InvalidOperation {
  /** The number of the operation. */
  1: i32 whatOp,
  /** The reason, for people. */
  2: string why,
}

/** Calculates, and logs the results. */
service Calculator extends shared.SharedService {
  /** Does nothing. Returns when the server has received it. */
  void ping(),

  /** Adds two numbers. */
  i32 add(1: i32 num1, 2: i32 num2),

  /** Performs an operation, and logs the result under `logid`. */
  i32 calculate(1: i32 logid, 2: Work w) throws (
    /** The operation cannot be performed. */
    1: InvalidOperation ouch,
  ),

  /** Returns without waiting for the server. */
  oneway void zip(),
}
