"""World models beside which LeWM is judged, made small and faithful"""
