package script

import "strconv"

func seq(r *run, args []string) {
	var n []int
	for _, a := range args[1:] {
		if i, err := strconv.Atoi(a); err == nil {
			n = append(n, i)
		}
	}
	from, by, to := 1, 1, 0
	switch len(n) {
	case 1:
		to = n[0]
	case 2:
		from, to = n[0], n[1]
	case 3:
		from, by, to = n[0], n[1], n[2]
	}
	for i := from; by > 0 && i <= to || by < 0 && i >= to; i += by {
		if !r.step() {
			return
		}
		r.write(strconv.Itoa(i) + "\n")
	}
	r.code = 0
}

// expr counts with two numbers. It ends with 1 if that gives none or 0, as expr does.
func expr(r *run, args []string) {
	r.code = 2
	if len(args) != 4 {
		r.write("expr: syntax error\n")
		return
	}
	a, errA := strconv.Atoi(args[1])
	b, errB := strconv.Atoi(args[3])
	if errA != nil || errB != nil || b == 0 && (args[2] == "/" || args[2] == "%") {
		r.write("expr: cannot be counted\n")
		return
	}
	n, known := 0, true
	switch args[2] {
	case "+":
		n = a + b
	case "-":
		n = a - b
	case "*":
		n = a * b
	case "/":
		n = a / b
	case "%":
		n = a % b
	default:
		known = false
	}
	if !known {
		r.write("expr: syntax error\n")
		return
	}
	r.code = truth(n != 0)
	r.write(strconv.Itoa(n) + "\n")
}
