/** Definitions that several services of the tutorial share. */
namespace rs shared

/** A logged value and its key. */
struct SharedStruct {
  /** The key. */
  1: i32 key,
  /** The value. */
  2: string value,
}

/** A service that others extend. */
service SharedService {
  /** Returns the value of a key. */
  SharedStruct getStruct(1: i32 key),
}
