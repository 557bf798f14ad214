/**
 * Global names that a dependency's declarations expect and that Node's own typings do not provide. They are written
 * here, instead of switching on the DOM library, because DOM would also offer `window` and friends to a daemon.
 */

/** What `new Headers(...)` accepts; Connect's declarations use it. */
type HeadersInit = import("undici-types").HeadersInit;
