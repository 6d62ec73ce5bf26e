module pki

go 1.26
