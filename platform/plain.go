package platform

// plain is PostgreSQL without a platform around it. What its users may do is
// asked of the server: whether they are superusers, and what they were granted.
func plain() *service {
	return &service{
		name:      Plain,
		title:     "PostgreSQL",
		detect:    func(signs) bool { return true },
		databases: []string{"template0", "template1"},
		noTarget:  []string{"template0", "template1"},
	}
}
