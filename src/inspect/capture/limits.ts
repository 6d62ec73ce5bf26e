/** How much of a capture is taken: what stands in one is anybody's. */

/** Bytes of a file; a capture is read as a whole. */
export const MAX_FILE = 256 * 1024 * 1024;
/** Bytes of one block of pcapng, or one packet of pcap. */
export const MAX_BLOCK = 16 * 1024 * 1024;
export const MAX_PACKETS = 2_000_000;
/** Interfaces of one section of pcapng. */
export const MAX_INTERFACES = 4096;
/** TCP connections. */
export const MAX_CONNECTIONS = 20_000;
/** Per direction: segments that wait for one before them, and their bytes. Beyond it that one is given up. */
export const MAX_WAITING_SEGMENTS = 4096;
export const MAX_WAITING_BYTES = 16 * 1024 * 1024;
