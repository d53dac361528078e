/** The service of the oracle, which checks calls under faults. */
namespace rs oracle

/** The argument and the result of a call. It must arrive unchanged. */
struct Parcel {
  /** The number of the call, unique among all calls. */
  1: i64 id,
  /** Bytes that follow from the number and the length. */
  2: binary payload,
  /** The checksum of both. */
  3: i64 sum,
}

/** A request that did not arrive as it was sent. */
exception Garbled {
  /** The number that arrived. */
  1: i64 id,
}

/** Records each run of a call. */
service Oracle {
  /** Returns the parcel. Must not run twice. */
  Parcel once(1: Parcel parcel) throws (1: Garbled garbled),

  /** Returns the parcel. May run again. */
  Parcel again(1: Parcel parcel) throws (1: Garbled garbled) (idempotent = "true"),

  /** Returns a parcel with a payload of `len` bytes. Must not run twice. */
  Parcel make(1: i64 id, 2: i32 len),

  /** Receives a parcel without a reply. Must not run twice. */
  oneway void tell(1: Parcel parcel),

  /** Returns after an hour, unless the call is cancelled before. Must not run twice. */
  void linger(1: i64 id),
}
