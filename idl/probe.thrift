/** The service that the tests of the runtime share. Each function does one thing that a test controls or observes. */
namespace rs probe

/** A value with a string of any length. */
struct Record {
  /** A number that tells records apart. */
  1: i32 key,
  /** The string. */
  2: string text,
  /** A second string, absent by default. */
  3: optional string comment,
}

/** How `fail` fails. */
enum Failure {
  /** With the exception that `fail` declares. */
  DECLARED = 1,
  /** With a TApplicationException of kind 42. */
  APPLICATION,
  /** With a panic. */
  PANIC,
}

/** The exception that `fail` declares. */
exception Refused {
  /** The number that the caller passed. */
  1: i32 code,
  /** The text that the caller passed. */
  2: string reason,
}

/** The functions. */
service Probe {
  /** Returns at once. */
  void ping(),

  /** Returns the sum. */
  i32 add(1: i32 num1, 2: i32 num2),

  /** Returns the record. */
  Record echo(1: Record record),

  /** Returns a string of `len` bytes. */
  string text(1: i32 len),

  /** Returns the length of `text` in bytes. */
  i32 length(1: string text),

  /** Counts a run of `id` and returns `2 * id`. */
  i32 run(1: i32 id),

  /** The same, after the test has released the call. */
  i32 wait(1: i32 id),

  /** Returns a string of `len` bytes, after the test has released the call. */
  string lateText(1: i32 len),

  /** Occupies its thread for 5 ms. */
  void busy(),

  /** Blocks its thread, inside `tokio::task::block_in_place`, until the test unblocks it. */
  void block(),

  /** Fails. */
  void fail(1: Failure how, 2: i32 code, 3: string reason) throws (
    /** For `Failure.DECLARED`. */
    1: Refused refused,
  ),

  /** Returns the value of a request header, or an empty string. */
  string header(1: string name),

  /** Returns the milliseconds until the deadline, or -1 without one. */
  i64 remaining(),

  /**
   * Calls another service on behalf of this call. Returns the headers `traceparent`, `tracestate` and `other` and the
   * milliseconds until the deadline that arrived there, separated by spaces.
   */
  string forward(),

  /** Counts a run of `id`. The caller gets no reply. */
  oneway void notify(1: i32 id),
}
