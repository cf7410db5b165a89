// CRC-32 (IEEE 802.3, reflected), as zlib computes it, in plain arithmetic: the core runs without node's own.
const table = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

/** Of a text of ASCII characters; others count as their UTF-8 bytes. */
export function crc32(text: string): number {
  let crc = -1;
  for (const character of text) {
    const code = character.codePointAt(0) as number;
    if (code < 0x80) crc = (table[(crc ^ code) & 0xff] as number) ^ (crc >>> 8);
    else
      for (const byte of new TextEncoder().encode(character))
        crc = (table[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8);
  }
  return (crc ^ -1) >>> 0;
}
