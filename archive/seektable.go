package archive

import (
	"encoding/binary"
	"fmt"
)

// The seek table is that of zstd's seekable format: a skippable frame at the
// end of the file that lists the sizes of all frames before it.
const (
	seekNibble     = 0xE
	seekFooterSize = 9
	seekMagic      = 0x8F92EAB1
)

// seekTable returns the seek table of a file made of the frames, as a whole
// skippable frame. Voided frames count with no content.
func seekTable(frames []Frame) ([]byte, error) {
	n := int64(len(frames))*8 + seekFooterSize
	if n > maxSkippable {
		return nil, fmt.Errorf("%d frames are too many for a seek table", len(frames))
	}
	out := appendSkippable(make([]byte, 0, n+skippableHeader), seekNibble, uint32(n))
	for _, f := range frames {
		if f.Size > maxSkippable || f.Raw > maxSkippable {
			return nil, fmt.Errorf("the frame at byte %d is too large for a seek table", f.Offset)
		}
		out = binary.LittleEndian.AppendUint32(out, uint32(f.Size))
		out = binary.LittleEndian.AppendUint32(out, uint32(f.Raw))
	}
	out = binary.LittleEndian.AppendUint32(out, uint32(len(frames)))
	out = append(out, 0) // no checksum for each frame: the frames carry their own
	return binary.LittleEndian.AppendUint32(out, seekMagic), nil
}
