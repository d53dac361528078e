// What `bench rpc` measures long payloads with.

namespace * echo

/** Says again what it is told. */
service Echo {
  /** The same bytes. */
  binary echo(1: binary bytes),
}
