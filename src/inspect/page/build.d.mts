/** The page's files by their paths. */
export function buildPage(): Promise<Map<string, Uint8Array>>;
