"""CIF texts that several tests share."""

from __future__ import annotations

RUTILE = """data_rutile
_symmetry_space_group_name_H-M 'P 42/m n m'
_symmetry_Int_Tables_number 136
_cell_length_a 4.594
_cell_length_b 4.594
_cell_length_c 2.959
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_chemical_formula_sum 'Ti2 O4'
_cell_formula_units_Z 2
loop_
 _atom_site_label
 _atom_site_type_symbol
 _atom_site_symmetry_multiplicity
 _atom_site_fract_x
 _atom_site_fract_y
 _atom_site_fract_z
 _atom_site_occupancy
 Ti1 Ti 2 0 0 0 1
 O1 O 4 0.3048 0.3048 0 1
"""
IDENTITY_LOOP = "loop_\n_symmetry_equiv_pos_site_id\n_symmetry_equiv_pos_as_xyz\n 1 'x, y, z'\n"
V1 = """data_Ti2O4
loop_
_atom_type_symbol
_atom_type_electronegativity
_atom_type_radius
_atom_type_ionic_radius
Ti 1.5400 1.4000 0.8517
O 3.4400 0.6000 1.2600
_symmetry_space_group_name_H-M P4_2/mnm
_cell_length_a 4.5998
_cell_length_b 4.5998
_cell_length_c 2.9592
_cell_angle_alpha 90.0000
_cell_angle_beta 90.0000
_cell_angle_gamma 90.0000
_symmetry_Int_Tables_number 136
_chemical_formula_structural TiO2
_chemical_formula_sum 'Ti2 O4'
_cell_volume 62.6125
_cell_formula_units_Z 2
loop_
_symmetry_equiv_pos_site_id
_symmetry_equiv_pos_as_xyz
1 'x, y, z'
loop_
_atom_site_type_symbol
_atom_site_label
_atom_site_symmetry_multiplicity
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Ti Ti0 2 0.0000 0.0000 0.5000 1.0
O O1 4 0.1957 0.8043 0.0000 1.0

"""
# The second generation of the model sets brackets around all that varies.
PI = """<bos>
data_[Ti2O4]
loop_
 _atom_type_symbol
 _atom_type_electronegativity
 _atom_type_radius
 _atom_type_ionic_radius
[
 Ti 1.5400 1.4000 0.8517
 O 3.4400 0.6000 1.2600
]
_symmetry_space_group_name_H-M [P4_2/mnm]
_cell_length_a [4.5998]
_cell_length_b [4.5998]
_cell_length_c [2.9592]
_cell_angle_alpha [90.0000]
_cell_angle_beta [90.0000]
_cell_angle_gamma [90.0000]
_symmetry_Int_Tables_number [136]
_chemical_formula_structural [TiO2]
_chemical_formula_sum '[Ti2 O4]'
_cell_volume [62.6125]
_cell_formula_units_Z [2]
loop_
 _symmetry_equiv_pos_site_id
 _symmetry_equiv_pos_as_xyz
 1 'x, y, z'
loop_
 _atom_site_type_symbol
 _atom_site_label
 _atom_site_symmetry_multiplicity
 _atom_site_fract_x
 _atom_site_fract_y
 _atom_site_fract_z
 _atom_site_occupancy
[
 Ti Ti0 2 0.0000 0.0000 0.5000 1.0
 O O1 4 0.1957 0.8043 0.0000 1.0
]

<eos>
"""
