/** A service of the tests: it shows what becomes of calls when things break. */
namespace rs oracle

/** What a call brings, and what it gives back: all of it has to come whole. */
struct Parcel {
  /** The number of the call. No two calls have the same. */
  1: i64 id,
  /** Bytes that the number and the length decide. */
  2: binary payload,
  /** The checksum of both. */
  3: i64 sum,
}

/** A request that did not come as it was sent. */
exception Garbled {
  /** The number that came. */
  1: i64 id,
}

/** Counts how often each call is run. */
service Oracle {
  /** Gives the parcel back. Must not be run twice. */
  Parcel once(1: Parcel parcel) throws (1: Garbled garbled),

  /** Gives the parcel back. May be run again. */
  Parcel again(1: Parcel parcel) throws (1: Garbled garbled) (idempotent = "true"),

  /** Gives a parcel with a payload of so many bytes. Must not be run twice. */
  Parcel make(1: i64 id, 2: i32 len),

  /** Is told something. Must not be run twice. */
  oneway void tell(1: Parcel parcel),
}
