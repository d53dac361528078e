/** What several services of the tutorial have in common. */
namespace rs shared

/** A value, and the key it is kept under. */
struct SharedStruct {
  /** What to ask for. */
  1: i32 key,
  /** What is kept there. */
  2: string value,
}

/** A service that others extend. */
service SharedService {
  /** Gives what is kept under a key. */
  SharedStruct getStruct(1: i32 key),
}
