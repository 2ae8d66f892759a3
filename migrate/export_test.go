package migrate

// CompareAheadAt sets how many bytes of complete tables are compared ahead.
func (o *Options) CompareAheadAt(bytes int64) { o.aheadBytes = bytes }
