package replicate

import "time"

// dropWait is how long a session is given to leave its slot between two looks.
const dropWait = 100 * time.Millisecond
