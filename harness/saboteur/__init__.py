"""The saboteur: sits on the wire between harness and server and plants one defect at a time, that a check must find."""
